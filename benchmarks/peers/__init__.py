"""Programs that run in environments of their own: a peer is never imported by ours."""
