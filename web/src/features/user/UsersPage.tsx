import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation } from 'wouter';
import { keys, list, useCan, type View } from '@/api';
import { t } from '@/text';
import { Choice, DataTable, Filters, PageHeader, Pager, RelativeTime, SearchField, Section, StateBadge, useFilters, type Column } from '@/ui';
import { useRoles } from './roles';

type User = View<'UserView'>;

export default function UsersPage() {
  const [, go] = useLocation();
  const may = useCan()('users.write');
  const roles = useRoles();
  const filters = useFilters('search', 'disabled');
  const { search, disabled } = filters.values;
  const query = { page: filters.page, limit: 50, search, ...(disabled ? { disabled: disabled as 'true' } : {}) };
  const users = useQuery({ queryKey: keys.users('list', query), queryFn: ({ signal }) => list('/api/v1/users', { query, signal }), placeholderData: (before) => before });
  const columns: Column<User>[] = [
    { key: 'name', title: t('user.username'), cell: (user) => <Link href={`/users/${user.id}`}>{user.username}</Link> },
    { key: 'email', title: t('user.email'), wide: true, cell: (user) => user.email },
    { key: 'role', title: t('role.one'), cell: (user) => (user.admin ? t('user.admin') : (roles.find((each) => each.id === user.role_id)?.name ?? t('user.customer'))) },
    { key: 'state', title: t('job.state'), cell: (user) => <StateBadge state={user.disabled ? 'disabled' : 'active'} /> },
    { key: 'at', title: t('common.created'), wide: true, end: true, cell: (user) => <RelativeTime at={user.created_at} /> },
  ];
  return (
    <>
      <PageHeader
        title={t('user.title')}
        actions={
          may && (
            <Button component={Link} href="/users/new" variant="filled" leftSection={<IconPlus size={16} />}>
              {t('user.add')}
            </Button>
          )
        }
      />
      <Section flush>
        <Filters>
          <SearchField value={search} onChange={(to) => filters.set('search', to)} placeholder={t('user.search')} />
          <Choice
            name={t('job.state')}
            value={disabled}
            onChange={(to) => filters.set('disabled', to)}
            data={[
              { value: '', label: t('common.all') },
              { value: 'false', label: t('state.active') },
              { value: 'true', label: t('state.disabled') },
            ]}
          />
        </Filters>
        <DataTable label={t('user.title')} columns={columns} rows={users.data?.items} rowKey={(user) => user.id} error={users.error} retry={() => void users.refetch()} onRow={(user) => go(`/users/${user.id}`)} />
        {users.data && <Pager {...users.data} onPage={filters.toPage} />}
      </Section>
    </>
  );
}
