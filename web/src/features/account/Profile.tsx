import { Button, Select, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, renew, useMe, type View } from '@/api';
import { cores, isLanguage, languages, mebibytes, number, preferred, speak, t } from '@/text';
import { ErrorNotice, Form, Meter, notifyDone, Section, useSubmit } from '@/ui';
import { useProof } from '@/parts';
import css from './account.module.css';

/** Name, address, language; and what the quota leaves. */
export function Profile() {
  const me = useMe();
  return (
    <>
      {/* Another language from the menu is another beginning of the form. */}
      <Person key={me.locale} />
      {me.used && <Quota quota={me.user.quota} used={me.used} />}
    </>
  );
}

function Person() {
  const me = useMe();
  const client = useQueryClient();
  const { guard, dialog } = useProof();
  const [form, setForm] = useState({ username: me.user.username, email: me.user.email, locale: me.locale });
  const send = useSubmit(async () => {
    const body: View<'MeUpdateBody'> = {};
    if (form.username !== me.user.username) body.username = form.username;
    if (form.email !== me.user.email) body.email = form.email;
    if (form.locale !== me.locale) body.locale = form.locale;
    const after = await guard(() => call('patch', '/api/v1/me', { body }));
    renew(client, after);
    const mailed = body.email !== undefined && after.user?.email !== body.email;
    notifyDone(mailed ? t('account.emailMailed', { email: form.email }) : t('common.saved'));
    if (mailed) setForm((was) => ({ ...was, email: after.user?.email ?? was.email }));
    if (body.locale !== undefined) {
      if (!isLanguage(body.locale)) localStorage.removeItem('berth.language');
      await speak(isLanguage(body.locale) ? body.locale : preferred(), isLanguage(body.locale));
    }
  }, ['username', 'email', 'locale']);
  const languageChoices = [
    { value: 'auto', label: t('account.languageAuto') },
    ...Object.entries(languages).map(([value, label]) => ({ value, label })),
  ];
  return (
    <Section title={t('account.profile')} hint={me.role_name && `${t('account.role')}: ${me.role_name}`}>
      <Form className={css.form} run={send.run}>
        <TextInput
          label={t('account.username')}
          autoComplete="username"
          required
          withAsterisk={false}
          value={form.username}
          error={send.of('username')}
          onChange={(e) => setForm({ ...form, username: e.currentTarget.value })}
        />
        <TextInput
          type="email"
          label={t('account.email') + (me.user.verified ? '' : ` (${t('account.unverified')})`)}
          description={t('account.emailHint')}
          autoComplete="email"
          required
          withAsterisk={false}
          value={form.email}
          error={send.of('email')}
          onChange={(e) => setForm({ ...form, email: e.currentTarget.value })}
        />
        <Select
          label={t('account.language')}
          description={t('account.languageHint')}
          data={languageChoices}
          value={form.locale || 'auto'}
          error={send.of('locale')}
          onChange={(value) => setForm({ ...form, locale: value && value !== 'auto' ? value : '' })}
        />
        <ErrorNotice error={send.error} />
        <Button type="submit" variant="filled" loading={send.busy}>
          {t('common.save')}
        </Button>
      </Form>
      {dialog}
    </Section>
  );
}

function Quota({ quota, used }: { quota: View<'QuotaView'>; used: View<'UseView'> }) {
  const rows: [string, number, number | null | undefined, (value: number) => string][] = [
    [t('account.quotaInstances'), used.instances, quota.instances, (n) => number(n)],
    [t('common.memory'), used.memory, quota.memory, mebibytes],
    [t('common.cpu'), used.cpu, quota.cpu, (n) => t('common.cores', { count: n }).replace(number(n), cores(n))],
    [t('common.disk'), used.disk, quota.disk, mebibytes],
  ];
  return (
    <Section title={t('account.quota')}>
      <div className={css.quota}>
        {rows.map(([label, value, max, format]) => (
          <div key={label}>
            <div className="quiet">{label}</div>
            <Meter
              label={label}
              value={value}
              max={max}
              text={max ? t('common.ofTotal', { used: format(value), total: format(max) }) : `${format(value)} · ${t('common.unlimited')}`}
            />
          </div>
        ))}
      </div>
    </Section>
  );
}
