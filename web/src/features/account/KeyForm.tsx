import { Button, Group, Modal, Radio, Select, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useState } from 'react';
import { call, once, useMe } from '@/api';
import { t, tAny } from '@/text';
import { CopyField, Form, FormEnd, useSubmit } from '@/ui';
import type { Guard } from '@/parts';

const lifetimes = ['30', '90', '365', 'never'] as const;
const day = 86_400_000;

/** A new key: what for, what it may, how long, from where. */
export function KeyForm({ guard, onClose, onIssued }: { guard: Guard; onClose: () => void; onIssued: (key: string) => void }) {
  const me = useMe();
  const [create] = useState(once);
  const [form, setForm] = useState({ name: '', scope: 'read' as 'read' | 'write' | 'admin', life: '90', addresses: '' });
  const send = useSubmit(async () => {
    const body = {
      name: form.name,
      scopes: [form.scope],
      addresses: form.addresses.split(/[\s,]+/).filter(Boolean),
      ...(form.life === 'never' ? {} : { expires_at: new Date(Date.now() + Number(form.life) * day).toISOString() }),
    };
    const made = await guard(() => create((key) => call('post', '/api/v1/keys', { idempotencyKey: key, body })));
    onIssued(made.key ?? '');
  }, ['name', 'scopes', 'addresses', 'expires_at']);
  const scopes = me.admin || me.permissions.length > 0 ? (['read', 'write', 'admin'] as const) : (['read', 'write'] as const);
  return (
    <Form run={send.run}>
      <Stack gap="md">
        <TextInput
          data-autofocus
          label={t('account.keyName')}
          description={t('account.keyNameHint')}
          required
          withAsterisk={false}
          maxLength={100}
          value={form.name}
          error={send.of('name')}
          onChange={(e) => setForm({ ...form, name: e.currentTarget.value })}
        />
        <Radio.Group
          label={t('account.keyScope')}
          value={form.scope}
          error={send.of('scopes')}
          onChange={(scope) => setForm({ ...form, scope: scope as typeof form.scope })}
        >
          <Stack gap={6} mt={4}>
            {scopes.map((scope) => (
              <Radio key={scope} value={scope} label={t(`account.scope_${scope}`)} />
            ))}
          </Stack>
        </Radio.Group>
        <Select
          label={t('account.keyExpires')}
          data={lifetimes.map((life) => ({ value: life, label: tAny(`account.keyExpires_${life}`, life) }))}
          value={form.life}
          error={send.of('expires_at')}
          onChange={(life) => setForm({ ...form, life: life ?? '90' })}
        />
        <Textarea
          label={t('account.keyAddresses')}
          description={t('account.keyAddressesHint')}
          autosize
          minRows={2}
          maxRows={6}
          spellCheck={false}
          value={form.addresses}
          error={send.of('addresses')}
          onChange={(e) => setForm({ ...form, addresses: e.currentTarget.value })}
        />
        <FormEnd submit={send} cancel={onClose}>
          {t('account.keyAdd')}
        </FormEnd>
      </Stack>
    </Form>
  );
}

/** The key itself, the one time that it is shown. */
export function KeyIssued({ value, onClose }: { value: string | undefined; onClose: () => void }) {
  return (
    <Modal opened={value !== undefined} onClose={onClose} title={t('account.keyIssued')} closeOnClickOutside={false} closeOnEscape={false}>
      <Stack gap="md">
        <Text>{t('account.keyIssuedHint')}</Text>
        <CopyField text={value ?? ''} label={t('account.keyIssued')} wrap />
        <Group justify="flex-end">
          <Button variant="filled" onClick={onClose}>
            {t('common.done')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
