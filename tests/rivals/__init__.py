"""Image predictors that do not think, their objectives, and what they are measured by."""
