import { Button } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useSearchParams } from 'wouter';
import { call, keys, usePanel, type View } from '@/api';
import { t, tAny } from '@/text';
import { ConfirmByName, DataTable, ErrorNotice, notifyDone, RelativeTime, Section, useSubmit } from '@/ui';
import { useProof } from '@/parts';

type Identity = View<'OIDCIdentityView'>;

/** The configured other login: linked and unlinked. */
export function OtherLogin() {
  const oidc = usePanel()?.oidc;
  const client = useQueryClient();
  const [params, setParams] = useSearchParams();
  const problem = params.get('problem');
  const linked = params.has('linked');
  useEffect(() => {
    if (!linked) return;
    notifyDone(t('account.oidcLinked'));
    setParams({}, { replace: true }); // a reload doesn't say it again
  }, [linked, setParams]);
  const { guard, dialog } = useProof();
  const [removing, setRemoving] = useState<Identity>();
  const list = useQuery({ queryKey: keys.me('oidc'), queryFn: () => call('get', '/api/v1/me/oidc') });
  const link = useSubmit(async () => {
    const { url } = await guard(() => call('post', '/api/v1/me/oidc'));
    window.location.assign(url);
  });
  if (!oidc && !list.data?.length) return null;
  return (
    <Section
      title={t('account.oidc')}
      hint={t('account.oidcHint', { name: oidc?.button ?? 'OpenID Connect' })}
      flush
      actions={
        oidc && (
          <Button loading={link.busy} onClick={() => void link.run()}>
            {t('account.oidcLink')}
          </Button>
        )
      }
    >
      {problem && <ErrorNotice error={{ code: 'OIDC', message: tAny(`login.${problem}`, t('login.oidc_failed')) }} />}
      <ErrorNotice error={link.error} />
      {(list.data?.length !== 0 || list.error) && (
        <DataTable
          label={t('account.oidc')}
          rows={list.data}
          error={list.error}
          rowKey={(row) => row.id}
          columns={[
            { key: 'email', title: t('account.email'), cell: (row) => row.email },
            { key: 'issuer', title: t('account.oidc'), wide: true, cell: (row) => <span className="quiet">{row.issuer}</span> },
            { key: 'used', title: t('account.used'), cell: (row) => <RelativeTime at={row.last_used_at} never={t('common.never')} /> },
            {
              key: 'actions',
              title: '',
              end: true,
              cell: (row) => (
                <Button variant="subtle" color="red" onClick={() => setRemoving(row)}>
                  {t('account.oidcUnlink')}
                </Button>
              ),
            },
          ]}
        />
      )}
      <ConfirmByName
        opened={!!removing}
        onClose={() => setRemoving(undefined)}
        title={t('account.oidcUnlinkTitle', { email: removing?.email ?? '' })}
        confirm={t('account.oidcUnlink')}
        run={async () => {
          if (removing) await guard(() => call('delete', '/api/v1/me/oidc/{id}', { path: { id: removing.id } }));
          await client.invalidateQueries({ queryKey: keys.me('oidc') });
        }}
      >
        {t('account.oidcUnlinkText')}
      </ConfirmByName>
      {dialog}
    </Section>
  );
}
