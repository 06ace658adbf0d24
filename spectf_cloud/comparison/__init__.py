"""Models that SpecTf is compared with: a ResNet and boosted trees."""
