import { Anchor, Button, Divider, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { IconFingerprint } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, Redirect } from 'wouter';
import { ApiError, begin, call, passkeysSupported, usePanel, useSession } from '@/api';
import { t, tAny } from '@/text';
import { ErrorNotice, Form, useSearchText, useSubmit } from '@/ui';
import { Frame } from './Frame';
import { loginByPasskey } from './passkey';
import { SecondStep, type Factor } from './SecondStep';
import { inside } from './inside';
import css from './login.module.css';

/** Name and password, a passkey, or the configured other login. */
export default function LoginPage() {
  const search = new URLSearchParams(useSearchText());
  const { data: session } = useSession();
  const [factors, setFactors] = useState<Factor[]>();
  const [given, setGiven] = useState({ name: '', password: '' });
  if (session) return <Redirect to={inside(search.get('to'))} replace />;
  if (factors) return <SecondStep given={given} factors={factors} again={() => setFactors(undefined)} />;
  return <FirstStep given={given} onChange={setGiven} onSecond={setFactors} problem={search.get('problem')} />;
}

interface Props {
  given: { name: string; password: string };
  onChange: (given: { name: string; password: string }) => void;
  onSecond: (factors: Factor[]) => void;
  problem: string | null;
}

function FirstStep({ given, onChange, onSecond, problem }: Props) {
  const client = useQueryClient();
  const panel = usePanel();
  const send = useSubmit(
    async () => {
      try {
        begin(client, await call('post', '/api/v1/login', { body: given }));
      } catch (error) {
        const factors = secondFactors(error);
        if (!factors) throw error;
        onSecond(factors);
      }
    },
    ['name', 'password'],
  );
  return (
    <Frame title={t('login.title')}>
      <Form run={send.run}>
        <Stack gap="sm">
          {problem && <ErrorNotice error={{ code: 'OIDC', message: tAny(`login.${problem}`, t('login.oidc_failed')) }} />}
          <TextInput
            label={t('login.name')}
            autoComplete="username webauthn"
            autoCapitalize="none"
            spellCheck={false}
            autoFocus
            required
            withAsterisk={false}
            value={given.name}
            error={send.of('name')}
            onChange={(e) => onChange({ ...given, name: e.currentTarget.value })}
          />
          <PasswordInput
            label={t('login.password')}
            autoComplete="current-password"
            required
            withAsterisk={false}
            value={given.password}
            error={send.of('password')}
            onChange={(e) => onChange({ ...given, password: e.currentTarget.value })}
          />
          <ErrorNotice error={send.error} />
          <Button type="submit" variant="filled" size="sm" loading={send.busy} fullWidth>
            {t('login.submit')}
          </Button>
          <Others panel={panel} />
          <div className={css.foot}>
            <Anchor component={Link} href="/forgot" size="sm">
              {t('login.forgot')}
            </Anchor>
            {panel?.support_url && (
              <Anchor href={panel.support_url} size="sm" rel="noopener noreferrer">
                {t('login.support')}
              </Anchor>
            )}
          </div>
        </Stack>
      </Form>
    </Frame>
  );
}

function Others({ panel }: { panel: ReturnType<typeof usePanel> }) {
  const passkeys = passkeysSupported() && panel?.passkeys !== false;
  const oidc = panel?.oidc;
  if (!passkeys && !oidc) return null;
  return (
    <>
      <Divider label={t('login.or')} />
      {passkeys && <PasskeyButton />}
      {oidc && (
        <Button component="a" href="/api/v1/auth/oidc/start" size="sm" fullWidth>
          {t('login.with', { name: oidc.button || 'OpenID' })}
        </Button>
      )}
    </>
  );
}

function PasskeyButton() {
  const client = useQueryClient();
  const send = useSubmit(() => loginByPasskey().then((session) => begin(client, session)));
  return (
    <>
      <Button size="sm" fullWidth leftSection={<IconFingerprint size={18} />} loading={send.busy} onClick={() => void send.run()}>
        {t('login.passkey')}
      </Button>
      <ErrorNotice error={send.error} />
    </>
  );
}

function secondFactors(error: unknown): Factor[] | undefined {
  if (!(error instanceof ApiError) || error.status !== 401) return undefined;
  const wanted = error.named('second_factor') as Factor[];
  return wanted.length > 0 ? wanted : undefined;
}
