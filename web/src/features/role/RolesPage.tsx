import { Button } from '@mantine/core';
import { IconPlus, IconShieldHalf } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { call, keys, useCan } from '@/api';
import { number, t } from '@/text';
import { DataTable, EmptyState, PageHeader, Section } from '@/ui';

export default function RolesPage() {
  const [, go] = useLocation();
  const may = useCan()('roles.write');
  const roles = useQuery({ queryKey: keys.roles('list'), queryFn: () => call('get', '/api/v1/roles') });
  const add = may && (
    <Button component={Link} href="/roles/new" variant="filled" leftSection={<IconPlus size={16} />}>
      {t('role.add')}
    </Button>
  );
  return (
    <>
      <PageHeader title={t('role.title')} actions={(roles.data ?? []).length > 0 && add} />
      <Section flush>
        <DataTable
          label={t('role.title')}
          rows={roles.data ?? undefined}
          error={roles.error}
          retry={() => void roles.refetch()}
          rowKey={(role) => role.id}
          onRow={(role) => go(`/roles/${role.id}`)}
          empty={
            <EmptyState icon={IconShieldHalf} title={t('role.empty')} action={add}>
              {t('role.emptyHint')}
            </EmptyState>
          }
          columns={[
            { key: 'name', title: t('common.name'), cell: (role) => <Link href={`/roles/${role.id}`}>{role.name}</Link> },
            { key: 'description', title: t('role.description'), wide: true, cell: (role) => <span className="quiet">{role.description}</span> },
            { key: 'permissions', title: t('role.permissions'), end: true, cell: (role) => number((role.permissions ?? []).length) },
            { key: 'users', title: t('role.users'), end: true, cell: (role) => number(role.users) },
          ]}
        />
      </Section>
    </>
  );
}
