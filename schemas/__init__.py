"""What goes over the wire: Avro schemas, their registry, and the codecs of events and of our own messages."""
