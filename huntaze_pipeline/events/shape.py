"""Which fields each kind of import has. What a field must be is `field`; running it, `importer`."""

from huntaze_pipeline.events import projection
from huntaze_pipeline.events.field import Field, Kind
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.parts import CampaignSpec, CostSpec, EventSpec, Part, Value


def event_fields(spec: EventSpec, number: int) -> list[Field]:
    """Return the fields of one event of a row."""
    name = spec.name if isinstance(spec.name, Value) else Value(value=spec.name)
    money = isinstance(spec.name, str) and spec.name in ("purchase", "tip")
    plan: list[tuple[str, Kind, Value | dict[str, Value] | None, bool]] = [
        ("name", "name", name, True),
        ("fan_id", "text", spec.fan_id, True),
        ("occurred_at", "time", spec.occurred_at, True),
        ("platform", "text", spec.platform, False),
        ("account_id", "text", spec.account_id, False),
        ("campaign_id", "text", spec.campaign_id, False),
        ("message_id", "text", spec.message_id, False),
        ("value", "money", spec.value, money),
        ("properties", "json", spec.properties, False),
    ]
    fields = [Field(n, f"e{number}_{n}", kind, v, required) for n, kind, v, required in plan]
    # A column of events of many kinds is empty where there is no money.
    mixed = spec.value is not None and spec.currency is not None and not money
    return [
        *fields,
        Field(
            "currency",
            f"e{number}_currency",
            "currency",
            spec.currency,
            required=spec.value is not None and not mixed,
            beside=next(f for f in fields if f.name == "value") if mixed else None,
        ),
    ]


def line_fields(mapping: Mapping) -> list[Field]:
    """Return the fields of a basket's line."""
    line = mapping.lines
    if line is None:
        return []
    return [
        Field("lines.item_id", "l_item_id", "text", line.item_id, True),
        Field("lines.quantity", "l_quantity", "number", line.quantity),
        Field("lines.value", "l_value", "money", line.value, True),
        Field("lines.discount", "l_discount", "money", line.discount, signed=True),
        Field("lines.properties", "l_properties", "json", line.properties),
    ]


def record_fields(mapping: Mapping) -> list[Field]:
    """Return the fields of a fan, campaign or cost."""
    if mapping.fans is not None and mapping.kind == "fans":
        return _fan(mapping)
    if mapping.campaigns is not None and mapping.kind == "campaigns":
        return _campaign(mapping.campaigns)
    return [] if mapping.costs is None else _cost(mapping.costs, signed=mapping.allow_negative)


def _campaign(part: CampaignSpec) -> list[Field]:
    return [
        Field("id", "r_id", "text", part.id, True),
        Field("name", "r_name", "text", part.name, True),
        Field("type", "r_type", "text", part.type),
        Field("start_at", "r_start_at", "instant", part.start_at, True),
        Field("end_at", "r_end_at", "instant", part.end_at),
        Field("settings", "r_settings", "json", part.settings),
    ]


def _cost(part: CostSpec, *, signed: bool) -> list[Field]:
    return [
        Field("id", "r_id", "text", part.id, True),
        Field("campaign_id", "r_campaign_id", "text", part.campaign_id),
        Field("amount", "r_amount", "money", part.amount, True, signed=signed),
        Field("currency", "r_currency", "currency", part.currency, True),
        Field("incurred_at", "r_incurred_at", "time", part.incurred_at, True),
    ]


def made_up(mapping: Mapping) -> list[str]:
    """Return the fan fields that no column says: chosen by a seed, or declared as assumptions."""
    if mapping.fans is None:
        return list(mapping.derived)
    values = {f.name: f.value for f in _fan(mapping)} | dict(mapping.fans.attributes)
    chosen = [
        name
        for name, value in values.items()
        if isinstance(value, Value) and projection.late(value, mapping)
    ]
    consents = [f"consents.{topic}" for topic in mapping.fans.consents]
    return sorted({*chosen, *consents, *mapping.derived})


def _fan(mapping: Mapping) -> list[Field]:
    part = mapping.fans
    if part is None:
        return []
    fields = [
        Field("id", "r_id", "text", part.id, True),
        Field("name", "r_name", "text", part.name),
        Field("zone", "r_zone", "zone", part.zone),
        Field("locale", "r_locale", "text", part.locale),
        Field("birthday", "r_birthday", "date", part.birthday),
        Field("subscribed_at", "r_subscribed_at", "time", part.subscribed_at),
    ]
    fields += [
        Field(f"attributes.{name}", f"a{n}", "text", value)
        for n, (name, value) in enumerate(part.attributes.items())
    ]
    fields += _nested("account", "r_account", part.account)
    fields += _nested("identity", "r_identity", part.identity)
    return fields


def _nested(label: str, prefix: str, part: Part | None) -> list[Field]:
    """The fields of a part within a part; all of them are required once it is there."""
    return [
        Field(f"{label}.{name}", f"{prefix}_{name}", "text", getattr(part, name), required=True)
        for name in (() if part is None else type(part).model_fields)
    ]
