"""What every stage of a recipe shares."""
