"""Does the generated data help a policy?"""
