import { Button, Group, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { IconFingerprint } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { ApiError, call, passkeysSupported, renew, showPasskey } from '@/api';
import { t } from '@/text';
import { Dialog, ErrorNotice, Form, useSubmit } from '@/ui';

interface Asked {
  /** password, passkey; and totp, recovery: the password goes with a code of one of these. */
  ways: string[];
  done: () => void;
  stop: () => void;
}

/** Runs a call again once its caller has proved who he is. */
export type Guard = <T>(run: () => Promise<T>) => Promise<T>;

/**
 * Runs what changes how one logs in, or another's account. When the controller wants a fresh proof, it
 * is asked for, and the call is made once more. `dialog` has to be drawn.
 */
export function useProof(): { guard: Guard; dialog: ReactNode } {
  const [asked, setAsked] = useState<Asked>();
  const guard = async <T,>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      const ways = error instanceof ApiError && error.status === 403 ? error.named('proof') : [];
      if (ways.length === 0) throw error;
      await new Promise<void>((resolve, reject) => {
        setAsked({ ways, done: resolve, stop: () => reject(new ApiError(403, 'NOT_PROVED', t('account.proofCancelled'))) });
      }).finally(() => setAsked(undefined));
      return run();
    }
  };
  const dialog = (
    <Dialog of={asked} onClose={() => asked?.stop()} title={() => t('account.proofTitle')}>
      {(one) => <Question {...one} />}
    </Dialog>
  );
  return { guard, dialog };
}

function Question({ ways, done, stop }: Asked) {
  const client = useQueryClient();
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const coded = ways.includes('totp') || ways.includes('recovery');
  const byPassword = useSubmit(async () => {
    renew(client, await call('post', '/api/v1/me/prove', { body: { password, ...(coded ? codeOf(code) : {}) } }));
    done();
  }, ['password', 'code', 'recovery_code']);
  const byPasskey = useSubmit(async () => {
    renew(client, await call('post', '/api/v1/me/prove', { body: { passkey: await answerPasskey() } }));
    done();
  });
  return (
    <Form run={byPassword.run}>
      <Stack gap="md">
        <Text>{t('account.proofHint')}</Text>
        {ways.includes('password') && (
          <PasswordInput
            data-autofocus
            label={t('account.password')}
            autoComplete="current-password"
            value={password}
            error={byPassword.of('password')}
            onChange={(e) => setPassword(e.currentTarget.value)}
          />
        )}
        {coded && (
          <TextInput
            label={t(ways.includes('totp') ? 'account.proofCode' : 'login.recoveryCode')}
            description={ways.includes('totp') ? t('account.proofCodeHint') : undefined}
            autoComplete="one-time-code"
            spellCheck={false}
            value={code}
            error={byPassword.of('code') ?? byPassword.of('recovery_code')}
            onChange={(e) => setCode(e.currentTarget.value)}
          />
        )}
        <ErrorNotice error={byPassword.error ?? byPasskey.error} />
        <Group justify="flex-end" gap="xs">
          <Button onClick={stop}>{t('common.cancel')}</Button>
          {ways.includes('passkey') && passkeysSupported() && (
            <Button leftSection={<IconFingerprint size={16} />} loading={byPasskey.busy} onClick={() => void byPasskey.run()}>
              {t('account.proofPasskey')}
            </Button>
          )}
          {ways.includes('password') && (
            <Button type="submit" variant="filled" loading={byPassword.busy} disabled={password === '' || (coded && code.trim() === '')}>
              {t('common.continue')}
            </Button>
          )}
        </Group>
      </Stack>
    </Form>
  );
}

// A code of the app is digits; all else is a recovery code.
function codeOf(typed: string): { code: string } | { recovery_code: string } {
  const digits = typed.replace(/\s/g, '');
  return /^\d{6,8}$/.test(digits) ? { code: digits } : { recovery_code: typed.trim() };
}

async function answerPasskey(): Promise<{ ceremony: string; response: unknown }> {
  const { ceremony, options } = await call('post', '/api/v1/me/prove/passkey');
  try {
    return { ceremony, response: await showPasskey(options) };
  } catch {
    throw new ApiError(400, 'PASSKEY', t('account.passkeyFailed'));
  }
}
