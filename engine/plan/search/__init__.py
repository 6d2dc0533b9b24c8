"""The builder `search`: candidates, judged by a policy; the best of those that it allows."""
