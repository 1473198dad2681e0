"""Step 1: rollouts of a pair of models under every intervention, as a study."""
