import { Loader } from '@mantine/core';
import { IconPlayerPlay, IconPlayerStop, IconRefresh, type Icon } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys } from '@/api';
import { t } from '@/text';
import { notifyError } from '@/ui';
import { isUp, may, verbs, type ListedInstance, type Verb } from './model';
import css from './instance.module.css';

export type Powered = Pick<ListedInstance, 'id' | 'name' | 'status' | 'suspended' | 'phase' | 'actual' | 'rights'>;

/** How an order looks. */
export const looks: Record<Exclude<Verb, 'kill'>, Icon> = { start: IconPlayerPlay, restart: IconRefresh, stop: IconPlayerStop };

/** Sends power orders; busy names the one that is on its way. */
export function usePower(instance: Powered) {
  const client = useQueryClient();
  const [busy, setBusy] = useState<Verb>();
  const send = async (verb: Verb) => {
    setBusy(verb);
    try {
      await call('post', `/api/v1/instances/{id}/${verb}`, { path: { id: instance.id } });
      await client.invalidateQueries({ queryKey: keys.instances(instance.id) });
    } finally {
      setBusy(undefined);
    }
  };
  return { busy, send, order: (verb: Verb) => void send(verb).catch(notifyError) };
}

/** Start, restart and stop as icons: for a row. */
export function PowerIcons({ instance }: { instance: Powered }) {
  const { busy, order } = usePower(instance);
  if (!may(instance, 'power')) return null;
  const can = verbs(instance);
  const row: Verb[] = isUp(instance) ? ['restart', 'stop'] : ['start'];
  return (
    <>
      {row.map((verb) => {
        const Shape = looks[verb as keyof typeof looks];
        const name = t('instance.verbOf', { verb: t(`instance.${verb as 'start'}`), name: instance.name });
        return (
          // Neither Mantine's button nor a tooltip for each: rows come by the hundred while a list is scrolled.
          <button
            key={verb}
            type="button"
            className={`${css.rowIcon} mantine-focus-auto mantine-active`}
            aria-label={name}
            title={t(`instance.${verb as 'start'}`)}
            aria-busy={busy === verb}
            disabled={!can[verb] || busy === verb}
            onClick={() => order(verb)}
          >
            {busy === verb ? <Loader size={15} color="currentColor" /> : <Shape size={18} aria-hidden />}
          </button>
        );
      })}
    </>
  );
}
