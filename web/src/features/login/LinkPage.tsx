import { Anchor, Button, PasswordInput, Stack } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { call, keys, type View } from '@/api';
import { t } from '@/text';
import { ErrorNotice, Form, PageSkeleton, useSubmit } from '@/ui';
import { Frame } from './Frame';

type LinkLook = View<'LinkView'>;

const shortest = 8;

/** What a link from a mail leads to. Its token stands behind the #, which no server sees. */
export default function LinkPage() {
  const [token] = useState(() => window.location.hash.slice(1));
  const look = useQuery({
    queryKey: ['link', token],
    queryFn: () => call('post', '/api/v1/links/look', { body: { token } }),
    enabled: token !== '',
    retry: false,
    staleTime: Infinity,
  });
  if (token !== '' && look.isPending) {
    return (
      <Frame title="">
        <PageSkeleton />
      </Frame>
    );
  }
  if (!look.data) {
    return (
      <Frame title={t('login.linkGone')} hint={t('login.linkGoneHint')}>
        <Anchor component={Link} href="/forgot" size="sm">
          {t('login.forgot')}
        </Anchor>
      </Frame>
    );
  }
  return look.data.password ? <SetPassword token={token} look={look.data} /> : <ConfirmEmail token={token} look={look.data} />;
}

function SetPassword({ token, look }: { token: string; look: LinkLook }) {
  const client = useQueryClient();
  const [, go] = useLocation();
  const [password, setPassword] = useState('');
  const [repeat, setRepeat] = useState('');
  const differs = repeat !== '' && repeat !== password;
  const send = useSubmit(() => call('post', '/api/v1/links/use', { body: { token, password } }), ['password']);
  const name = look.username;
  const invited = look.purpose === 'invite';
  return (
    <Frame
      title={invited ? t('login.linkInvite', { name }) : t('login.linkReset', { name })}
      hint={invited ? t('login.linkInviteHint') : t('login.linkResetHint')}
    >
      <Form run={async () => {
        if (password !== repeat || !(await send.run())) return;
        // It may have logged in; who has a second factor still has to.
        await client.invalidateQueries({ queryKey: keys.session });
        go('/', { replace: true });
      }}>
        <Stack gap="sm">
          <input type="hidden" autoComplete="username" value={name} readOnly />
          <PasswordInput
            label={t('login.newPassword')}
            description={t('login.newPasswordHint', { count: shortest })}
            autoComplete="new-password"
            autoFocus
            required
            withAsterisk={false}
            minLength={shortest}
            value={password}
            error={send.of('password')}
            onChange={(e) => setPassword(e.currentTarget.value)}
          />
          <PasswordInput
            label={t('login.repeat')}
            autoComplete="new-password"
            required
            withAsterisk={false}
            value={repeat}
            error={differs && t('login.repeatDiffers')}
            onChange={(e) => setRepeat(e.currentTarget.value)}
          />
          <ErrorNotice error={send.error} />
          <Button type="submit" variant="filled" size="sm" fullWidth loading={send.busy} disabled={differs}>
            {t('login.setPassword')}
          </Button>
        </Stack>
      </Form>
    </Frame>
  );
}

function ConfirmEmail({ token, look }: { token: string; look: LinkLook }) {
  const client = useQueryClient();
  const [done, setDone] = useState(false);
  const send = useSubmit(() => call('post', '/api/v1/links/use', { body: { token } }));
  if (done) {
    return (
      <Frame title={t('login.linkEmailDone')}>
        <Anchor component={Link} href="/" size="sm">
          {t('error.home')}
        </Anchor>
      </Frame>
    );
  }
  return (
    <Frame title={t('login.linkEmail')} hint={t('login.linkEmailHint', { name: look.username, email: look.email })}>
      <Stack gap="sm">
        <ErrorNotice error={send.error} />
        <Button
          variant="filled"
          size="sm"
          fullWidth
          loading={send.busy}
          onClick={() =>
            void send.run().then((worked) => {
              setDone(worked);
              if (worked) void client.invalidateQueries({ queryKey: keys.session });
            })
          }
        >
          {t('login.linkEmailSubmit')}
        </Button>
      </Stack>
    </Frame>
  );
}
