import { Radio, Stack } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { call, keys, list, type View } from '@/api';
import { UserSelect, useProof } from '@/parts';
import { t } from '@/text';
import { ConfirmByName, notifyDone } from '@/ui';

interface Props {
  user: View<'UserView'>;
  opened: boolean;
  close: () => void;
}

/** Asks before a user goes, and what becomes of his instances. */
export function DeleteUser({ user, opened, close }: Props) {
  const [fate, setFate] = useState<'transfer' | 'delete'>('transfer');
  const [to, setTo] = useState('');
  const [, go] = useLocation();
  const client = useQueryClient();
  const { guard, dialog } = useProof();
  const query = { owner_id: user.id, limit: 1 };
  const count = useQuery({ queryKey: keys.instances('list', query), queryFn: () => list('/api/v1/instances', { query }), enabled: opened }).data?.total ?? 0;
  return (
    <>
      <ConfirmByName
        opened={opened}
        onClose={close}
        title={t('user.deleteTitle', { name: user.username })}
        name={user.username}
        confirm={t('common.delete')}
        run={async () => {
          const what = count === 0 ? {} : fate === 'delete' ? { instances: fate } : { instances: fate, to };
          await guard(() => call('delete', '/api/v1/users/{id}', { path: { id: user.id }, query: what }));
          notifyDone(t('user.deleted', { name: user.username }));
          go('/users');
          await client.invalidateQueries({ queryKey: keys.users('list') });
        }}
      >
        <Stack gap="sm">
          <span>
            {t('user.deleteText')} {t('common.cannotUndo')}
          </span>
          {count > 0 && (
            <Radio.Group label={t('user.deleteInstances', { count })} value={fate} onChange={(value) => setFate(value as 'transfer')}>
              <Stack gap="xs" mt="xs">
                <Radio value="transfer" label={t('user.fateTransfer')} />
                <Radio value="delete" label={t('user.fateDelete')} />
              </Stack>
            </Radio.Group>
          )}
          {count > 0 && fate === 'transfer' && <UserSelect label={t('user.fateTo')} value={to} onChange={setTo} />}
        </Stack>
      </ConfirmByName>
      {dialog}
    </>
  );
}
