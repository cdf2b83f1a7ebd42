"""What do people ask of a tensor and a scheme?"""
