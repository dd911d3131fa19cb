"""The service and its page: ``dld-spotter serve``. It needs neither PyTorch, Detectron2 nor Matplotlib.

- ``limits``: what is taken, and the answers to what is not.
- ``uploads``: the body of a request becomes the bytes of a photo.
- ``photo_decoder``, ``decoder_process``: bytes become pixels, in a process of their own that can be stopped.
- ``reading_queue``: photos wait, are decoded, and are read in batches by one thread.
- ``served_model``: the model, and what the service says of it.
- ``answers``: the JSON that leaves the service.
- ``service_metrics``: what Prometheus sees.
- ``connections``: connections that say nothing are closed.
- ``app``: the routes. ``page``: the page's files.

Nothing is imported here: a decoder's process needs little of it.
"""
