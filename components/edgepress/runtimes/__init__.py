"""Running any artifact that can be shipped, each with the runtime of its kind, through one small protocol."""
