import { Anchor, Button, Stack, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { IconFingerprint } from '@tabler/icons-react';
import { useState } from 'react';
import { begin, call, passkeysSupported } from '@/api';
import { t } from '@/text';
import { ErrorNotice, Form, useSubmit } from '@/ui';
import { Frame } from './Frame';
import { loginByPasskey } from './passkey';

export type Factor = 'totp' | 'recovery' | 'passkey';

interface Props {
  given: { name: string; password: string };
  factors: Factor[];
  again: () => void;
}

/** The second factor: a code of the app, a recovery code, or a passkey. */
export function SecondStep({ given, factors, again }: Props) {
  const client = useQueryClient();
  const [kind, setKind] = useState<Factor>(factors.includes('totp') ? 'totp' : (factors[0] ?? 'recovery'));
  const [code, setCode] = useState('');
  const send = useSubmit(
    async () => {
      if (kind === 'passkey') return begin(client, await loginByPasskey());
      const field = kind === 'totp' ? { code: code.replace(/\s/g, '') } : { recovery_code: code.trim() };
      begin(client, await call('post', '/api/v1/login', { body: { ...given, ...field } }));
    },
    ['code', 'recovery_code'],
  );
  const others = factors.filter((each) => each !== kind && (each !== 'passkey' || passkeysSupported()));
  const names = { totp: t('login.useCode'), recovery: t('login.useRecovery'), passkey: t('login.usePasskey') };
  return (
    <Frame title={t('login.secondTitle')} hint={kind === 'recovery' ? t('login.recoveryHint') : kind === 'totp' ? t('login.secondHint') : undefined}>
      <Form run={send.run}>
        <Stack gap="sm">
          {kind !== 'passkey' && (
            <TextInput
              key={kind}
              label={kind === 'totp' ? t('login.code') : t('login.recoveryCode')}
              inputMode={kind === 'totp' ? 'numeric' : 'text'}
              autoComplete="one-time-code"
              autoFocus
              required
              withAsterisk={false}
              spellCheck={false}
              value={code}
              error={send.of(kind === 'totp' ? 'code' : 'recovery_code')}
              onChange={(e) => setCode(e.currentTarget.value)}
            />
          )}
          <ErrorNotice error={send.error} />
          <Button
            type="submit"
            variant="filled"
            size="sm"
            fullWidth
            loading={send.busy}
            leftSection={kind === 'passkey' ? <IconFingerprint size={18} /> : undefined}
          >
            {kind === 'passkey' ? t('login.passkey') : t('common.continue')}
          </Button>
          {others.map((each) => (
            <Anchor
              key={each}
              component="button"
              type="button"
              size="sm"
              ta="left"
              onClick={() => {
                setKind(each);
                setCode('');
                send.reset();
              }}
            >
              {names[each]}
            </Anchor>
          ))}
          <Anchor component="button" type="button" size="sm" ta="left" onClick={again}>
            {t('login.again')}
          </Anchor>
        </Stack>
      </Form>
    </Frame>
  );
}
