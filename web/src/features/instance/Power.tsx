import { ActionIcon, Button, Menu } from '@mantine/core';
import { IconBolt, IconChevronDown, IconPlayerPlay, IconPlayerStop, IconRefresh, type Icon } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys } from '@/api';
import { t } from '@/text';
import { ConfirmByName, notifyError } from '@/ui';
import { may, verbs, type ListedInstance, type Verb } from './model';
import css from './instance.module.css';

type Of = Pick<ListedInstance, 'id' | 'name' | 'status' | 'suspended' | 'phase' | 'actual' | 'rights'>;

const looks: Record<Exclude<Verb, 'kill'>, Icon> = { start: IconPlayerPlay, restart: IconRefresh, stop: IconPlayerStop };

/** Sends power orders; busy names the one that is on its way. */
export function usePower(instance: Of) {
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
export function PowerIcons({ instance }: { instance: Of }) {
  const { busy, order } = usePower(instance);
  if (!may(instance, 'power')) return null;
  const can = verbs(instance);
  const row: Verb[] = can.start ? ['start'] : ['restart', 'stop'];
  return (
    <>
      {row.map((verb) => {
        const Shape = looks[verb as keyof typeof looks];
        const name = t('instance.verbOf', { verb: t(`instance.${verb as 'start'}`), name: instance.name });
        return (
          // A tooltip of its own for each button of each row would make a long list slow.
          <ActionIcon key={verb} aria-label={name} title={t(`instance.${verb as 'start'}`)} disabled={!can[verb]} loading={busy === verb} onClick={() => order(verb)}>
            <Shape size={18} aria-hidden />
          </ActionIcon>
        );
      })}
    </>
  );
}

/** All power orders, with killing behind a question. */
export function PowerButtons({ instance }: { instance: Of }) {
  const { busy, order, send } = usePower(instance);
  const [asking, setAsking] = useState(false);
  if (!may(instance, 'power')) return null;
  const can = verbs(instance);
  return (
    <Button.Group className={css.power}>
      {(Object.keys(looks) as (keyof typeof looks)[]).map((verb) => {
        const Shape = looks[verb];
        return (
          <Button key={verb} size="sm" leftSection={<Shape size={16} aria-hidden />} disabled={!can[verb]} loading={busy === verb} onClick={() => order(verb)}>
            {t(`instance.${verb}`)}
          </Button>
        );
      })}
      <Menu>
        <Menu.Target>
          <Button size="sm" px="xs" aria-label={t('instance.morePower')}>
            <IconChevronDown size={16} aria-hidden />
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item color="red" leftSection={<IconBolt size={16} aria-hidden />} disabled={!can.kill} onClick={() => setAsking(true)}>
            {t('instance.kill')}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <ConfirmByName opened={asking} onClose={() => setAsking(false)} title={t('instance.killTitle', { name: instance.name })} confirm={t('instance.kill')} run={() => send('kill')}>
        {t('instance.killHint')}
      </ConfirmByName>
    </Button.Group>
  );
}
