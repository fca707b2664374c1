//! Java's application behind a peer: Tomcat, as Debian packages it, from a directory of its own.

use std::ffi::OsString;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;
use crate::process::Process;

/// One connector; what a page is compiled to is kept in the lab's directory.
const SERVER: &str = "\
<Server port=\"-1\">
  <Service name=\"Catalina\">
    <Connector port=\"@port\" address=\"127.0.0.1\" protocol=\"HTTP/1.1\" connectionTimeout=\"20000\" />
    <Engine name=\"Catalina\" defaultHost=\"localhost\">
      <Host name=\"localhost\" appBase=\"webapps\" autoDeploy=\"false\" />
    </Engine>
  </Service>
</Server>
";

/// The servlet that makes pages, and nothing that looks for more.
const WEB: &str = "\
<web-app xmlns=\"https://jakarta.ee/xml/ns/jakartaee\" version=\"6.0\" metadata-complete=\"true\">
  <servlet>
    <servlet-name>jsp</servlet-name>
    <servlet-class>org.apache.jasper.servlet.JspServlet</servlet-class>
  </servlet>
  <servlet-mapping><servlet-name>jsp</servlet-name><url-pattern>*.jsp</url-pattern></servlet-mapping>
</web-app>
";

/// `ok.jsp` answers at once; with `?slow` it sleeps, with `?heap` it uses up the heap, with `?halt` the machine ends.
const PAGE: &str = "\
<% String what = request.getQueryString();
if (\"slow\".equals(what)) Thread.sleep(4000);
if (\"halt\".equals(what)) Runtime.getRuntime().halt(3);
java.util.ArrayList<byte[]> all = new java.util.ArrayList<>();
while (\"heap\".equals(what)) all.add(new byte[1 << 20]); %>ok
";

impl Lab {
    /// Tomcat with a heap of 64 MB. Its page is `/ok.jsp`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn tomcat(&self, port: u16) -> Result<Process> {
        for folder in ["conf", "temp", "webapps/ROOT", "logs"] {
            self.directory(&format!("tomcat/{folder}"))?;
        }
        self.file(
            "tomcat/conf/server.xml",
            &SERVER.replace("@port", &port.to_string()),
        )?;
        self.file("tomcat/conf/web.xml", WEB)?;
        self.file("tomcat/webapps/ROOT/ok.jsp", PAGE)?;
        let base = self.path("tomcat").display().to_string();
        let args = [
            "-Xmx64m".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-classpath".to_owned(),
            "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar"
                .to_owned(),
            format!("-Dcatalina.base={base}"),
            "-Dcatalina.home=/usr/share/tomcat10".to_owned(),
            format!("-Djava.io.tmpdir={base}/temp"),
            "-Dtomcat.util.scan.StandardJarScanFilter.jarsToSkip=*.jar".to_owned(),
            "org.apache.catalina.startup.Bootstrap".to_owned(),
            "start".to_owned(),
        ];
        let mut process = self.start("tomcat", "java", args.map(OsString::from))?;
        let accepts = || TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
        // A busy machine takes its time over so many classes.
        process.await_ready_for(Duration::from_mins(1), accepts)?;
        Ok(process)
    }
}
