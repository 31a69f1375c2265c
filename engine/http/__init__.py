"""HTTP as whoever asks reads it: shared by the caller and the client, owned by neither."""
