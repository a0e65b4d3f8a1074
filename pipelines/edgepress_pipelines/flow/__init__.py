"""What a run is made of wherever it runs: parameters, inputs, plan, outcome, working directory."""
