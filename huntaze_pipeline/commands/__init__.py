"""The `huntaze` command's sub-commands, one module a room: read arguments, call, print."""
