"""Statistics on arrays that know no study: resampling, agreement, scaling, classification."""
