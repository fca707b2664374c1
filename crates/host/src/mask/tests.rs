use proptest::prelude::*;

use super::*;

fn masked(text: &str, shape: Shape) -> String {
    let mut bytes = text.as_bytes().to_vec();
    mask(&mut bytes, shape);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Each line before and after.
fn check(shape: Shape, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(masked(text, shape), *expected);
    }
}

fn check_kept(shape: Shape, table: &[&str]) {
    for text in table {
        assert_eq!(masked(text, shape), *text);
    }
}

#[test]
fn values_of_secret_names_are_masked() {
    check(
        Shape::Text,
        &[
            ("password=hunter2", "password=*******"),
            ("DB_PASSWORD = hunter2 # x", "DB_PASSWORD = ******* # x"),
            ("Password: hunter2", "Password: *******"),
            (
                "  \"password\": \"hun\\\"ter2\",",
                "  \"password\": \"*********\",",
            ),
            (
                "spring.datasource.password=a,b",
                "spring.datasource.password=*,b",
            ),
            ("'secret' => 'abc',", "'secret' => '***',"),
            ("$cfg['api_key'] = 'abc';", "$cfg['api_key'] = '***';"),
            ("SECRET_KEY_BASE=0123abcd", "SECRET_KEY_BASE=********"),
            (
                "aws_secret_access_key = abc/def+ghi=",
                "aws_secret_access_key = ************",
            ),
            (
                "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
                "aws_access_key_id = ********************",
            ),
            ("url?token=abc&user=bob", "url?token=***&user=bob"),
            ("MYSQL_PWD=x", "MYSQL_PWD=*"),
            ("X-Api-Key: abc", "X-Api-Key: ***"),
            ("password=12345", "password=*****"),
            ("password=on-call", "password=*******"),
            (
                "password='it has spaces' next",
                "password='*************' next",
            ),
            (
                "password=\"no end\nnext line",
                "password=\"******\nnext line",
            ),
            ("clé secret=é", "clé secret=**"),
        ],
    );
}

#[test]
fn arguments_and_unit_files_are_masked() {
    check(
        Shape::Text,
        &[
            (
                "app\0--password\0hunter2\0--bind\x00127.0.0.1:8000\0",
                "app\0--password\0*******\0--bind\x00127.0.0.1:8000\0",
            ),
            (
                "app\0--token=a b\0--port\x008000",
                "app\0--token=* b\0--port\x008000",
            ),
            (
                "sh\0-c\0DB_PASSWORD=x app --bind 127.0.0.1:8000",
                "sh\0-c\0DB_PASSWORD=* app --bind 127.0.0.1:8000",
            ),
            (
                "ExecStart=/usr/bin/app --api-key abc --port 8000",
                "ExecStart=/usr/bin/app --api-key *** --port 8000",
            ),
            (
                "Environment=\"SECRET=a b\" \"X=1\"",
                "Environment=\"SECRET=***\" \"X=1\"",
            ),
            ("Environment=SECRET=ab X=1", "Environment=SECRET=** X=1"),
        ],
    );
    check_kept(
        Shape::Text,
        &[
            "app\0--password\0--bind\0x",
            "app --password-file /etc/app/secret --bind :80",
            "Environment=SECRET_FILE=/run/secrets/app",
        ],
    );
}

#[test]
fn headers_are_masked_and_their_scheme_kept() {
    check(
        Shape::Text,
        &[
            (
                "Authorization: Basic dXNlcjpwYXNz",
                "Authorization: Basic ************",
            ),
            (
                "authorization: bearer abc next",
                "authorization: bearer *** next",
            ),
            ("Authorization: custom abc", "Authorization: **********"),
            (
                "Authorization: abc upstream: x",
                "Authorization: *** upstream: x",
            ),
            (
                "Authorization: Digest username=\"a\", response=\"b\"",
                "Authorization: Digest **************************",
            ),
            (
                "Proxy-Authorization: Basic abc",
                "Proxy-Authorization: Basic ***",
            ),
            ("Cookie: a=b; c=d", "Cookie: ********"),
            ("Set-Cookie: sid=abc; Path=/", "Set-Cookie: ***************"),
            (
                "curl -H 'Authorization: Bearer abc' x",
                "curl -H 'Authorization: Bearer ***' x",
            ),
            (
                "proxy_set_header Authorization \"Basic abc\";",
                "proxy_set_header Authorization \"Basic ***\";",
            ),
            (
                "proxy_set_header X-Auth-Token abc;",
                "proxy_set_header X-Auth-Token ***;",
            ),
            ("fastcgi_param API_KEY abc;", "fastcgi_param API_KEY ***;"),
            (
                "add_header Set-Cookie \"a=b; Path=/\";",
                "add_header Set-Cookie \"***********\";",
            ),
            ("set $secret \"abc\";", "set $secret \"***\";"),
            ("secure_link_secret abc;", "secure_link_secret ***;"),
        ],
    );
}

#[test]
fn configuration_keeps_its_meaning() {
    check_kept(
        Shape::Text,
        &[
            "server_tokens off;",
            "proxy_set_header Authorization $http_authorization;",
            "proxy_set_header Cookie \"\";",
            "proxy_set_header Authorization \"\";",
            "proxy_pass http://token:8000;",
            "proxy_pass http://token:8000/api;",
            "proxy_pass http://secret.example.com:8000;",
            "proxy_pass http://app/?token=$arg_token;",
            "server token:8000 max_fails=1;",
            "server unix:/run/token/password:/secret;",
            "fastcgi_pass unix:/run/php/token.sock;",
            "proxy_cookie_path / \"/; secure\";",
            "proxy_cookie_domain a b;",
            "limit_req_zone $http_token zone=token:10m rate=1r/s;",
            "keys_zone=token:10m",
            "location /token { proxy_pass http://127.0.0.1:8000; }",
            "if ($cookie_token = \"\") { return 403; }",
            "auth_basic_user_file /etc/nginx/.htpasswd;",
            "ssl_password_file /etc/keys/global.pass;",
            "ssl_certificate_key /etc/ssl/private/token.key;",
            "map $http_authorization $x {",
            "proxy_set_header Host $host;",
            "log_format main '$remote_user \"$http_cookie\"';",
            "token_cookie = {",
            "access_key: /var/lib/keys",
            "http://127.0.0.1:$1$request_uri_and_more",
            "proxy_pass http://$host:$port$request_uri;",
        ],
    );
}

#[test]
fn log_lines_keep_their_fields() {
    check(
        Shape::Log,
        &[
            (
                "client: 192.0.2.1, request: \"GET /?token=abc&x=1 HTTP/1.1\", upstream: \"http://127.0.0.1:8000/?token=abc\", host: \"x\"",
                "client: 192.0.2.1, request: \"GET /?token=***&x=1 HTTP/1.1\", upstream: \"http://127.0.0.1:8000/?token=***\", host: \"x\"",
            ),
            // Strangers cannot hide a field, whatever they quote or escape.
            (
                "request: \"GET /?token=\"\\\", upstream: \"http://127.0.0.1:8000/\"",
                "request: \"GET /?token=\"\\\", upstream: \"http://127.0.0.1:8000/\"",
            ),
            (
                "request: \"GET /?token='a HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\", host: \"b'\"",
                "request: \"GET /?token='**********\", upstream: \"http://127.0.0.1:8000/\", host: \"b'\"",
            ),
            (
                "request: \"GET /Cookie: a HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\"",
                "request: \"GET /Cookie: **********\", upstream: \"http://127.0.0.1:8000/\"",
            ),
            (
                "request: \"GET /-----BEGIN PRIVATE KEY-----MIIE HTTP/1.1\", upstream: \"http://127.0.0.1:8000/\"\nnext: line",
                "request: \"GET /-----BEGIN PRIVATE KEY-----***********.1\", upstream: \"http://127.0.0.1:8000/\"\nnext: line",
            ),
            (
                "{\"MESSAGE\":\"{\\\"password\\\": \\\"abc\\\"}\",\"_PID\":\"1\"}",
                "{\"MESSAGE\":\"{\\\"password\\\": \\\"***\\\"}\",\"_PID\":\"1\"}",
            ),
        ],
    );
    check_kept(
        Shape::Log,
        &[
            "user \"bob\": password mismatch, client: 192.0.2.1",
            "user \"bob\" was not found in \"/etc/nginx/.htpasswd\", client: 192.0.2.1",
            "token-service: listening on 127.0.0.1:8000",
            "no live upstreams while connecting to upstream, upstream: \"http://secret/\"",
            "upstream: \"http://token:8000/\"",
            "token.service: Failed with result 'exit-code'.",
            "cookie=-",
        ],
    );
}

#[test]
fn secrets_of_a_known_form_are_masked() {
    check(
        Shape::Text,
        &[
            (
                "redis://:pass@127.0.0.1:6379/0",
                "redis://:****@127.0.0.1:6379/0",
            ),
            (
                "postgres://app:p:a@ss@db:5432/x",
                "postgres://app:******@db:5432/x",
            ),
            (
                "https://0123456789abcdef@example.com/",
                "https://****************@example.com/",
            ),
            (
                "bob:$apr1$abcdefgh$0123456789abcdefghijkl",
                "bob:*************************************",
            ),
            ("key AKIAIOSFODNN7EXAMPLE.", "key ********************."),
            (
                "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc y",
                "x **************************************** y",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\nab==\n-----END RSA PRIVATE KEY-----\nx",
                "-----BEGIN RSA PRIVATE KEY-----\n**********************\n\n****\n****\n-----END RSA PRIVATE KEY-----\nx",
            ),
            (
                "key: \"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n\"",
                "key: \"-----BEGIN PRIVATE KEY-----********-----END PRIVATE KEY-----\\n\"",
            ),
        ],
    );
    check_kept(
        Shape::Text,
        &[
            "ssh://git@example.com/x",
            "http://127.0.0.1:8000?x=a@b",
            "http://127.0.0.1:8000 someone@example.com",
            "upstream: \"http://127.0.0.1:8000\", user@x",
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "AKIA is short, and xAKIAIOSFODNN7EXAMPLE is another word",
            "eyJ short.",
        ],
    );
}

#[test]
fn an_environment_variable_is_masked_whole() {
    check(
        Shape::Environment,
        &[(
            "DB_PASSWORD=a;b c,d\0TOKEN_FILE=/run/token\0TZ=Europe/Paris\0ARGS=--token abc --bind :80\0",
            "DB_PASSWORD=*******\0TOKEN_FILE=/run/token\0TZ=Europe/Paris\0ARGS=--token *** --bind :80\0",
        )],
    );
}

#[test]
fn password_files_are_masked_by_their_name() {
    let request = ProbeRequest::host_file("/etc/nginx/.htpasswd");
    let mut answered = Answer::Bytes(b"bob:rqXexS6ZhobKA\nann:{PLAIN}x:note\n".to_vec());
    answer(&request, &mut answered);
    assert_eq!(
        answered,
        Answer::Bytes(b"bob:*************\nann:********:note\n".to_vec())
    );
    assert_eq!(
        Shape::of(&ProbeRequest::host_file("/etc/nsswitch.conf")),
        None
    );
}

proptest! {
    #[test]
    fn lengths_and_line_ends_stay(
        text in "([a-z ]{0,4}|password|TOKEN|Cookie|authorization|set |_param |--|[=:;,\"'\\\\@/$*{}\n\r\0]|://|eyJ|:\\$6\\$|AKIA|-----BEGIN PRIVATE KEY-----){0,30}",
        shape in prop::sample::select(vec![Shape::Text, Shape::Log, Shape::Environment, Shape::Passwords]),
    ) {
        let masked = masked(&text, shape);
        prop_assert_eq!(masked.len(), text.len());
        for (before, after) in text.bytes().zip(masked.bytes()) {
            prop_assert!(after == before || after == b'*' && !matches!(before, b'\n' | b'\r' | 0));
        }
    }

    #[test]
    fn any_bytes_are_taken(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        shape in prop::sample::select(vec![Shape::Text, Shape::Log, Shape::Environment, Shape::Passwords]),
    ) {
        let before = bytes.len();
        mask(&mut bytes, shape);
        prop_assert_eq!(bytes.len(), before);
    }
}
