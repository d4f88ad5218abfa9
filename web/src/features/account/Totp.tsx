import { Button, Stack, Text, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, useMe, type View } from '@/api';
import { t } from '@/text';
import { ConfirmByName, CopyField, Dialog, ErrorNotice, Form, FormEnd, notifyDone, Section, StateBadge, useSubmit } from '@/ui';
import { Codes } from './Codes';
import { useProof } from '@/parts';
import { Qr } from './Qr';

/** The authenticator app, and the codes for the day it is lost. */
export function Totp() {
  const me = useMe();
  const client = useQueryClient();
  const { guard, dialog } = useProof();
  const [setup, setSetup] = useState<View<'TOTPSetupView'>>();
  const [codes, setCodes] = useState<string[]>();
  const [ask, setAsk] = useState<'remove' | 'codes'>();
  const fresh = () => client.invalidateQueries({ queryKey: keys.session });
  const begin = useSubmit(async () => setSetup(await guard(() => call('post', '/api/v1/me/totp/begin'))));
  const { totp, passkeys, recovery_codes: left } = me.second_factor;
  return (
    <>
      <Section
        title={t('account.totp')}
        hint={t('account.totpHint')}
        actions={
          totp ? (
            <Button onClick={() => setAsk('remove')}>{t('account.totpRemove')}</Button>
          ) : (
            <Button variant="filled" loading={begin.busy} onClick={() => void begin.run()}>
              {t('account.totpSetUp')}
            </Button>
          )
        }
      >
        <StateBadge state={totp ? 'active' : 'pending'} label={totp ? t('account.totpOn') : t('account.totpOff')} />
        <ErrorNotice error={begin.error} />
      </Section>
      {(totp || passkeys > 0) && (
        <Section
          title={t('account.codes')}
          hint={t('account.codesHint')}
          actions={<Button onClick={() => setAsk('codes')}>{t('account.codesNew')}</Button>}
        >
          {t('account.codesLeft', { count: left })}
        </Section>
      )}
      <SetUp
        setup={setup}
        onClose={() => setSetup(undefined)}
        onDone={(made) => {
          setSetup(undefined);
          setCodes(made);
          void fresh();
        }}
      />
      <Codes codes={codes} onClose={() => setCodes(undefined)} />
      <ConfirmByName
        opened={ask === 'remove'}
        onClose={() => setAsk(undefined)}
        title={t('account.totpRemoveTitle')}
        confirm={t('account.totpRemove')}
        run={async () => {
          await guard(() => call('delete', '/api/v1/me/totp'));
          await fresh();
          notifyDone(t('account.totpRemoved'));
        }}
      >
        {t('account.totpRemoveText')}
      </ConfirmByName>
      <ConfirmByName
        opened={ask === 'codes'}
        onClose={() => setAsk(undefined)}
        title={t('account.codesNew')}
        confirm={t('account.codesNew')}
        run={async () => {
          setCodes((await guard(() => call('post', '/api/v1/me/recovery-codes'))).recovery_codes);
          await fresh();
        }}
      >
        {t('account.codesNewText')}
      </ConfirmByName>
      {dialog}
    </>
  );
}

interface SetUpProps {
  setup: View<'TOTPSetupView'> | undefined;
  onClose: () => void;
  onDone: (codes: string[]) => void;
}

function SetUp({ setup, onClose, onDone }: SetUpProps) {
  return (
    <Dialog of={setup} onClose={onClose} title={() => t('account.totp')}>
      {(made) => <SetUpForm setup={made} onClose={onClose} onDone={onDone} />}
    </Dialog>
  );
}

function SetUpForm({ setup, onClose, onDone }: SetUpProps & { setup: View<'TOTPSetupView'> }) {
  const [code, setCode] = useState('');
  const send = useSubmit(async () => {
    const made = await call('post', '/api/v1/me/totp/confirm', { body: { code: code.replace(/\s/g, '') } });
    onDone(made.recovery_codes);
  }, ['code']);
  return (
    <Form run={send.run}>
      <Stack gap="md">
        <Text>{t('account.totpScan')}</Text>
        <Qr text={setup.uri} label={t('account.totpQr')} />
        <CopyField text={setup.secret} label={t('account.totpSecret')} wrap />
        <TextInput
          label={t('account.totpCode')}
          inputMode="numeric"
          autoComplete="one-time-code"
          data-autofocus
          required
          withAsterisk={false}
          value={code}
          error={send.of('code')}
          onChange={(e) => setCode(e.currentTarget.value)}
        />
        <FormEnd submit={send} cancel={onClose}>
          {t('account.totpConfirm')}
        </FormEnd>
      </Stack>
    </Form>
  );
}
