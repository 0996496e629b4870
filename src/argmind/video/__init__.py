"""What is done with a trained model of video: reading clips, going on with them, pictures."""
