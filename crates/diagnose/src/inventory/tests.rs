use super::*;
use crate::fixture::Fixture;

const HOST: &str = "
    //- nginx master=2841 workers=2842
    //- file /etc/nginx/nginx.conf
    user www-data;
    events {}
    http {
        upstream shop {
            server 127.0.0.1:8000;
            keepalive 8;
        }
        upstream pair {
            server 127.0.0.1:8001;
            server app.internal:8002;
        }
        server {
            listen 80;
            location / { proxy_pass http://shop; proxy_read_timeout 90s; }
            location = /pair { proxy_pass http://pair; }
            location /again { proxy_pass http://pair; }
            location ~ [.]php$ { root /srv/www; fastcgi_pass unix:/run/php/php8.2-fpm.sock; }
            location /where { proxy_pass http://$backend; }
        }
    }
    //- process 4120 cgroup=/system.slice/shop.service
    /usr/bin/python3 /usr/bin/gunicorn --workers 3 --timeout 40 --bind 127.0.0.1:8000 shop:application
    //- listen tcp 127.0.0.1:8000 pid=4120
    //- unit shop.service ActiveState=active User=shop WorkingDirectory=/srv/shop
    //- process 77 cgroup=/system.slice/php8.2-fpm.service
    php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)
    //- listen unix /run/php/php8.2-fpm.sock pid=77
    //- file /etc/php/8.2/fpm/php-fpm.conf
    include=/etc/php/8.2/fpm/pool.d/*.conf
    //- file /etc/php/8.2/fpm/pool.d/www.conf
    [www]
    user = www-data
    listen = /run/php/php8.2-fpm.sock
    pm.max_children = 5
";

fn of<'a>(inventory: &'a Inventory, upstream: Option<&str>) -> &'a Dialled {
    let mut found = inventory
        .dialled
        .iter()
        .filter(|dialled| dialled.upstream.as_deref() == upstream && !dialled.peers.is_empty());
    found.next().unwrap()
}

#[test]
fn what_listens_where_nginx_dials_is_told_with_what_it_was_told() {
    let inventory = Fixture::parse(HOST).inventory();
    assert_eq!(
        inventory.worker,
        Some(("www-data".into(), "www-data".into()))
    );
    let shop = of(&inventory, Some("shop"));
    assert_eq!((shop.path.as_deref(), shop.keepalive), (Some("/"), Some(8)));
    assert_eq!(shop.read_timeout, Some(Duration::from_secs(90)));
    let runs = shop.runs.as_ref().unwrap();
    assert_eq!(runs.kind, Some(Kind::Gunicorn));
    assert_eq!(runs.unit.as_deref(), Some("shop.service"));
    assert_eq!(runs.user.as_deref(), Some("shop"));
    assert_eq!(runs.settings.module.as_deref(), Some("shop:application"));
    assert_eq!(runs.settings.workers.as_ref().unwrap().value, 3);
}

#[test]
fn a_pool_is_told_where_one_is_set_to_listen() {
    let inventory = Fixture::parse(HOST).inventory();
    let php = of(&inventory, None);
    assert_eq!(php.root.as_deref(), Some("/srv/www"));
    assert_eq!(php.path, None, "a regular expression is no prefix");
    let runs = php.runs.as_ref().unwrap();
    let pool = runs.pool.as_ref().unwrap();
    assert_eq!(
        (pool.name.as_str(), pool.php.as_deref()),
        ("www", Some("8.2"))
    );
    assert_eq!(pool.user.as_deref(), Some("www-data"));
    assert_eq!(runs.settings.workers.as_ref().unwrap().value, 5);
}

#[test]
fn what_is_not_sure_is_left_out() {
    let inventory = Fixture::parse(HOST).inventory();
    let pair = of(&inventory, Some("pair"));
    assert_eq!(pair.unclear, ["app.internal:8002"]);
    assert_eq!(pair.places.len(), 2);
    assert_eq!(
        pair.path, None,
        "two locations: which is meant, nobody knows"
    );
    assert!(pair.runs.is_none(), "nobody listens there");
    let variable = inventory
        .dialled
        .iter()
        .find(|dialled| dialled.peers.is_empty());
    assert_eq!(variable.unwrap().unclear, ["$backend"]);
    // Two programs on one address: neither is the application.
    let two = format!(
        "{HOST}//- process 4999\n    /usr/bin/other\n    //- listen tcp 127.0.0.1:8001 pid=4999\n"
    );
    let two = two.replace("server app.internal:8002;", "server 127.0.0.1:8000;");
    assert!(
        of(&Fixture::parse(&two).inventory(), Some("pair"))
            .runs
            .is_none()
    );
}
