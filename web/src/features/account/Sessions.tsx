import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { call, keys, useAhead, type View } from '@/api';
import { t, tAny } from '@/text';
import { DataTable, notifyDone, notifyError, RelativeTime, Section, StateBadge } from '@/ui';
import { browserName } from './browser';

type LoginSession = View<'LoginSessionView'>;

/** Where one is logged in. */
export function Sessions() {
  const queryKey = keys.me('sessions');
  const ahead = useAhead<LoginSession[]>(queryKey);
  const list = useQuery({ queryKey, queryFn: () => call('get', '/api/v1/me/sessions') });
  const end = (stays: (row: LoginSession) => boolean, run: () => Promise<unknown>, said: string) =>
    void ahead((all) => all.filter(stays), run)
      .then(() => notifyDone(said))
      .catch(notifyError);
  return (
    <Section
      title={t('account.sessions')}
      hint={t('account.sessionsHint')}
      flush
      actions={
        <Button
          disabled={(list.data?.length ?? 0) < 2}
          onClick={() => end((each) => each.current, () => call('delete', '/api/v1/me/sessions'), t('account.sessionsEnded'))}
        >
          {t('account.sessionEndOthers')}
        </Button>
      }
    >
      <DataTable<LoginSession>
        label={t('account.sessions')}
        rows={list.data}
        error={list.error}
        retry={() => void list.refetch()}
        rowKey={(row) => row.id}
        columns={[
          {
            key: 'browser',
            title: t('account.sessionWhere'),
            cell: (row) => (
              <>
                <div title={row.browser}>{browserName(row.browser)}</div>
                <div className="quiet mono">{row.address}</div>
              </>
            ),
          },
          { key: 'means', title: t('account.sessionMeans'), wide: true, cell: (row) => tAny(`account.means_${row.means}`, row.means) },
          { key: 'began', title: t('account.sessionBegan'), wide: true, cell: (row) => <RelativeTime at={row.created_at} /> },
          { key: 'seen', title: t('account.sessionSeen'), cell: (row) => <RelativeTime at={row.last_seen_at} /> },
          {
            key: 'actions',
            title: '',
            end: true,
            cell: (row) =>
              row.current ? (
                <StateBadge state="active" label={t('account.sessionCurrent')} />
              ) : (
                <Button
                  variant="subtle"
                  color="red"
                  onClick={() => end((each) => each.id !== row.id, () => call('delete', '/api/v1/me/sessions/{id}', { path: { id: row.id } }), t('account.sessionEnded'))}
                >
                  {t('account.sessionEnd')}
                </Button>
              ),
          },
        ]}
      />
    </Section>
  );
}
