"""What is known of a tensor before anybody quantizes it?"""
