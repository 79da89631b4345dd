"""Rules as files: schema, loader, condition language and planner. Nothing here sends."""
