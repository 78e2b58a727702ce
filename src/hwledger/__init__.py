"""hwledger: will this model run on this hardware, and was the answer right?"""
