"""The description of the API."""

from caller import Client


def test_the_description_names_every_route_and_the_documents_of_its_errors(maya: Client) -> None:
    told = maya.get("/openapi.json").json()

    assert "/api/campaigns/{campaign_id}/analytics" in told["paths"]
    post = told["paths"]["/api/campaigns"]["post"]
    assert {"401", "409", "413", "422", "503"} <= set(post["responses"])
    assert "application/problem+json" in post["responses"]["422"]["content"]
    assert told["components"]["schemas"]["CampaignRequest"]["examples"]
