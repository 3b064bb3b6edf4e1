"""What a person looks at: the mosaic picture and the page around it."""
