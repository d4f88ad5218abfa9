// What the first page is made of is asked for before anything else of the panel
// runs: it comes while React is started.
import { panelQuery, sessionQuery } from '@/api';
import { preferred, speak } from '@/text';
import { client } from './client';
import { ahead } from './pages';

void client.prefetchQuery(sessionQuery);
void client.prefetchQuery(panelQuery);

/** The page's code and its words. Who is logged in may still be on its way. */
export const begun = Promise.all([speak(preferred()), ahead(location.pathname)]);
