"""Models: an encoder that turns a picture into features, and a head that turns features into logits."""
