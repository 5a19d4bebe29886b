"""Every SDK against every dialect: what a client can ask for, asked through each vendor's own library."""
