"""What at least two services need, and nothing that is one service's business."""
