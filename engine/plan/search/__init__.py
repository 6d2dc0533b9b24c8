"""The search for a layout: enumerate candidates, let the policy filter and score them, keep the best."""
