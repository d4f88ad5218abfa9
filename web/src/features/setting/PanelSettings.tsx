import { Select, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, keys, type View } from '@/api';
import { languages, t } from '@/text';
import { ErrorNotice, notifyDone, RowSkeletons, useSubmit } from '@/ui';
import { SettingsForm } from './SettingsForm';

export function PanelSettings() {
  const held = useQuery({ queryKey: keys.settings('panel'), queryFn: () => call('get', '/api/v1/settings/panel') });
  if (held.error && !held.data) return <ErrorNotice error={held.error} retry={() => void held.refetch()} />;
  return held.data ? <Form held={held.data} /> : <RowSkeletons />;
}

function Form({ held }: { held: View<'PanelSettingsView'> }) {
  const [form, setForm] = useState(held);
  const client = useQueryClient();
  const submit = useSubmit(async () => {
    const body = { name: form.name, locale: form.locale, support_url: form.support_url };
    client.setQueryData(keys.settings('panel'), await call('patch', '/api/v1/settings/panel', { body }));
    notifyDone(t('common.saved'));
    await client.invalidateQueries({ queryKey: keys.panel });
  }, ['name', 'locale', 'support_url']);
  return (
    <SettingsForm title={t('setting.panel')} submit={submit}>
      <TextInput label={t('setting.panelName')} description={t('setting.panelNameHint')} required value={form.name} error={submit.of('name')} onChange={(e) => setForm({ ...form, name: e.currentTarget.value })} />
      <Select
        label={t('nav.language')}
        description={t('setting.localeHint')}
        value={form.locale}
        error={submit.of('locale')}
        data={Object.entries(languages).map(([value, label]) => ({ value, label }))}
        onChange={(locale) => setForm({ ...form, locale: locale as 'en' })}
      />
      <TextInput label={t('setting.support')} description={t('setting.supportHint')} value={form.support_url} error={submit.of('support_url')} onChange={(e) => setForm({ ...form, support_url: e.currentTarget.value })} />
    </SettingsForm>
  );
}
