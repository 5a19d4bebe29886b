"""What gateways get wrong between protocols, one named case for each: the vendors' SDKs on this side, the wire on the other."""
