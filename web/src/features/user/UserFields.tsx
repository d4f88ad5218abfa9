import { NumberInput, Select, SimpleGrid, Switch, TextInput } from '@mantine/core';
import { useMe, type View } from '@/api';
import { t, type TextKey } from '@/text';
import type { Submit } from '@/ui';
import { useRoles } from './roles';

export interface UserForm {
  username: string;
  email: string;
  admin: boolean;
  role: string;
  quota: View<'QuotaView'>;
}

export const userFields = ['username', 'email', 'admin', 'role_id', 'quota', 'quota.instances', 'quota.memory', 'quota.cpu', 'quota.disk', 'password'];

interface Props {
  form: UserForm;
  set: (change: Partial<UserForm>) => void;
  submit: Submit;
}

/** Who somebody is, and what he may. */
export function UserFields({ form, set, submit }: Props) {
  const roles = useRoles();
  const me = useMe();
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
      <TextInput label={t('user.username')} required autoComplete="off" value={form.username} error={submit.of('username')} onChange={(e) => set({ username: e.currentTarget.value })} />
      <TextInput label={t('user.email')} required type="email" autoComplete="off" value={form.email} error={submit.of('email')} onChange={(e) => set({ email: e.currentTarget.value })} />
      <Select
        label={t('role.one')}
        description={t('user.roleHint')}
        value={form.role}
        disabled={form.admin}
        error={submit.of('role_id')}
        onChange={(role) => set({ role: role ?? '' })}
        data={[{ value: '', label: t('user.customer') }, ...roles.map((each) => ({ value: each.id, label: each.name }))]}
      />
      {me.admin && <Switch mt={{ sm: 'xl' }} label={t('user.admin')} description={t('user.adminHint')} checked={form.admin} error={submit.of('admin')} onChange={(e) => set({ admin: e.currentTarget.checked })} />}
    </SimpleGrid>
  );
}

/** What somebody's instances may have together; an empty field is no limit. */
export function QuotaFields({ form, set, submit }: Props) {
  const one = (field: keyof UserForm['quota'], label: TextKey, suffix: string, step: number) => (
    <NumberInput
      label={t(label)}
      placeholder={t('common.unlimited')}
      suffix={suffix}
      min={0}
      step={step}
      decimalScale={field === 'cpu' ? 2 : 0}
      thousandSeparator=" "
      value={form.quota[field] ?? ''}
      error={submit.of(`quota.${field}`)}
      onChange={(value) => set({ quota: { ...form.quota, [field]: value === '' ? null : Number(value) } })}
    />
  );
  return (
    <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm">
      {one('instances', 'nav.instances', '', 1)}
      {one('memory', 'common.memory', ' MiB', 1024)}
      {one('cpu', 'common.cpu', '', 1)}
      {one('disk', 'common.disk', ' MiB', 1024)}
    </SimpleGrid>
  );
}
