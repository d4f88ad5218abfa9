// Ties the live socket to the cache, for as long as somebody is logged in.
import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { whenLoggedOut } from './client';
import { Invalidator } from './invalidation';
import { keys } from './keys';
import { live } from './live';
import { end, useSession, type Session } from './session';

/** Used once, at the top. */
export function useLiveLink(): void {
  const client = useQueryClient();
  const user = useSession().data?.user?.id;
  useEffect(() => {
    whenLoggedOut(() => end(client));
    return () => whenLoggedOut(() => {});
  }, [client]);
  useEffect(() => {
    if (!user) return;
    const old = new Invalidator(client);
    const stops = [
      live.onEvent((event) => old.add(event)),
      live.onBehind(() => old.all()),
      live.onState(() => {
        if (live.state === 'ended') void client.invalidateQueries({ queryKey: keys.session });
      }),
      () => live.stop(),
    ];
    live.start(client.getQueryData<Session | null>(keys.session)?.last_event ?? 0);
    return () => stops.forEach((stop) => stop());
  }, [client, user]);
}
