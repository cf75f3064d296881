"""The latent map: effect settings as points of a plane, where those that sound alike lie together; see `server`."""
