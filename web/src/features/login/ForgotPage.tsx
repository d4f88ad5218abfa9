import { Anchor, Button, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { Link } from 'wouter';
import { call } from '@/api';
import { t } from '@/text';
import { ErrorNotice, Form, useSubmit } from '@/ui';
import { Frame } from './Frame';

/** Asks for a link to a new password. The answer never tells whether there is such an account. */
export default function ForgotPage() {
  const [email, setEmail] = useState('');
  const [sent, setSent] = useState(false);
  const send = useSubmit(() => call('post', '/api/v1/forgot', { body: { email } }), ['email']);
  const back = (
    <Anchor component={Link} href="/login" size="sm">
      {t('login.toLogin')}
    </Anchor>
  );
  if (sent) {
    return (
      <Frame title={t('login.forgotSent')} hint={t('login.forgotSentHint')}>
        {back}
      </Frame>
    );
  }
  return (
    <Frame title={t('login.forgotTitle')} hint={t('login.forgotHint')}>
      <Form run={() => send.run().then((worked) => setSent(worked))}>
        <Stack gap="sm">
          <TextInput
            type="email"
            label={t('login.email')}
            autoComplete="email"
            autoFocus
            required
            withAsterisk={false}
            value={email}
            error={send.of('email')}
            onChange={(e) => setEmail(e.currentTarget.value)}
          />
          <ErrorNotice error={send.error} />
          <Button type="submit" variant="filled" size="sm" fullWidth loading={send.busy}>
            {t('login.forgotSubmit')}
          </Button>
          {back}
        </Stack>
      </Form>
    </Frame>
  );
}
