import { Button, PasswordInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, useMe } from '@/api';
import { t } from '@/text';
import { ErrorNotice, Form, notifyDone, Section, useSubmit } from '@/ui';
import { OtherLogin } from './OtherLogin';
import { Passkeys } from './Passkeys';
import { useProof } from '@/parts';
import { Totp } from './Totp';
import css from './account.module.css';

/** How one logs in. */
export function Security() {
  return (
    <>
      <Password />
      <Totp />
      <Passkeys />
      <OtherLogin />
    </>
  );
}

function Password() {
  const me = useMe();
  const client = useQueryClient();
  const { guard, dialog } = useProof();
  const [form, setForm] = useState({ now: '', next: '' });
  const send = useSubmit(async () => {
    const body = { new_password: form.next, ...(form.now ? { password: form.now } : {}) };
    await guard(() => call('post', '/api/v1/me/password', { body }));
    setForm({ now: '', next: '' });
    await client.invalidateQueries({ queryKey: keys.session });
    notifyDone(t('account.passwordChanged'));
  }, ['password', 'new_password']);
  return (
    <Section title={t('account.password')} hint={t('account.passwordHint')}>
      <Form className={css.form} run={send.run}>
        <input type="text" hidden autoComplete="username" value={me.user.username} readOnly />
        <PasswordInput
          label={t('account.passwordNow')}
          autoComplete="current-password"
          value={form.now}
          error={send.of('password')}
          onChange={(e) => setForm({ ...form, now: e.currentTarget.value })}
        />
        <PasswordInput
          label={t('account.passwordNew')}
          description={t('login.newPasswordHint', { count: 8 })}
          autoComplete="new-password"
          required
          withAsterisk={false}
          minLength={8}
          value={form.next}
          error={send.of('new_password')}
          onChange={(e) => setForm({ ...form, next: e.currentTarget.value })}
        />
        <ErrorNotice error={send.error} />
        <Button type="submit" variant="filled" loading={send.busy}>
          {t('account.passwordChange')}
        </Button>
      </Form>
      {dialog}
    </Section>
  );
}
