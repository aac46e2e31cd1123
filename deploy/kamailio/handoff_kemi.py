"""What Kamailio loads: finds handoff's own packages and hands over to them."""

import os
import site

site.addsitedir(os.environ["HANDOFF_SITE_PACKAGES"])

from kemi.app import mod_init  # noqa: F401 - only now can it be found
