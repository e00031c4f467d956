//! Files of models: reading a pre-trained base, writing one.
