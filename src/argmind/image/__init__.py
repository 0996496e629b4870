"""What is done with a trained model of images: removing noise, filling in, drawing, pictures."""
