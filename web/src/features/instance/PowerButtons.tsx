import { Button, Menu } from '@mantine/core';
import { IconBolt, IconChevronDown } from '@tabler/icons-react';
import { useState } from 'react';
import { t } from '@/text';
import { ConfirmByName } from '@/ui';
import { may, verbs } from './model';
import { looks, usePower, type Powered } from './Power';
import css from './instance.module.css';

/** All power orders, with killing behind a question. */
export function PowerButtons({ instance }: { instance: Powered }) {
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
